# SPDX-License-Identifier: Apache-2.0
# Three helpers, so that each folder's CMakeLists.txt stays a few lines.

# motley_library(NAME DEPENDS...): a static library of every .c file of this folder; its headers are public.
# They are found by quoted includes only: a header of ours must not hide a system
# header of the same name (<sched.h>).
function(motley_library name)
  file(GLOB sources CONFIGURE_DEPENDS *.c)
  list(FILTER sources EXCLUDE REGEX "/main\\.c$")
  add_library(${name} STATIC ${sources})
  target_compile_options(${name} PUBLIC "SHELL:-iquote ${CMAKE_CURRENT_SOURCE_DIR}")
  target_link_libraries(${name} PUBLIC ${ARGN})
endfunction()

# motley_program(NAME LIBRARIES...): an executable from this folder's main.c.
function(motley_program name)
  add_executable(${name} main.c)
  target_link_libraries(${name} PRIVATE ${ARGN})
  install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()

# motley_test(LABEL NAME LIBRARIES...): tests/LABEL/test_NAME.c as the ctest case LABEL/NAME.
function(motley_test label name)
  set(target test_${label}_${name})
  add_executable(${target} ${CMAKE_SOURCE_DIR}/tests/${label}/test_${name}.c)
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(${target} PRIVATE ${ARGN} PkgConfig::CMOCKA)
  target_compile_definitions(${target} PRIVATE TEST_DATA_DIR="${CMAKE_SOURCE_DIR}/tests/data"
                             TEST_BIN_DIR="${CMAKE_BINARY_DIR}/bin")
  add_test(NAME ${label}/${name} COMMAND ${target})
  set_tests_properties(${label}/${name} PROPERTIES LABELS ${label} TIMEOUT 60)
endfunction()
