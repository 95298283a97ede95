# SPDX-License-Identifier: Apache-2.0
foreach(name words run_alone fleet_up inputs completion policy replay simulate online verify variants
        isolate retention pressure keys worker_restart small_memory bench)
  add_test(NAME e2e/${name}
           COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/${name} ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/bin)
  set_tests_properties(e2e/${name} PROPERTIES LABELS e2e TIMEOUT 400 SKIP_RETURN_CODE 77)
endforeach()
add_test(NAME e2e/embed COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/embed ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/bin
         ${CMAKE_BINARY_DIR} ${CMAKE_C_COMPILER} ${MOTLEY_SANITIZE})
set_tests_properties(e2e/embed PROPERTIES LABELS e2e TIMEOUT 400 SKIP_RETURN_CODE 77)
