# SPDX-License-Identifier: Apache-2.0
# Whole programs among liars: seeds instead of a corpus, no libFuzzer. tests/fuzz/run runs them for longer.

# motley_hostile(NAME SECONDS LIBRARIES...): fuzz_NAME from fuzz_NAME.c, and the ctest case fuzz/NAME.
function(motley_hostile name seconds)
  set(target fuzz_${name})
  set(folder ${CMAKE_CURRENT_FUNCTION_LIST_DIR})
  add_executable(${target} ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/fuzz_${name}.c)
  target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_FUNCTION_LIST_DIR} ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(${target} PRIVATE ${ARGN})
  add_test(NAME fuzz/${name} COMMAND ${target} --seconds ${seconds})
  set(environment LSAN_OPTIONS=suppressions=${folder}/lsan.supp ASAN_OPTIONS=quarantine_size_mb=16
      TSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/tsan.supp:halt_on_error=1)
  set_tests_properties(fuzz/${name} PROPERTIES LABELS "fuzz;threads" TIMEOUT 180 ENVIRONMENT "${environment}")
endfunction()

motley_hostile(coordinator 5 coordinator)
motley_hostile(worker 4 worker)
motley_hostile(client 3 client_lib)

# Each target for an hour of one core, with libFuzzer where clang is there.
add_test(NAME fuzz/long
         COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/run ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/fuzz-long)
set_tests_properties(fuzz/long PROPERTIES LABELS "fuzz;long" TIMEOUT 86400 PROCESSORS 2 SKIP_RETURN_CODE 77
                     ENVIRONMENT MOTLEY_LONG=1)
