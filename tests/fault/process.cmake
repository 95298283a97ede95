# SPDX-License-Identifier: Apache-2.0
# Processes and networks that misbehave; docs/faults.md says what each test does and how to run the long ones.
function(fault_test name)
  cmake_parse_arguments(PARSE_ARGV 1 fault "" "TEST;TIMEOUT" "WORDS")
  add_test(NAME fault/${name}
           COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/${fault_TEST} ${fault_WORDS} ${CMAKE_SOURCE_DIR}
                   ${CMAKE_BINARY_DIR}/bin)
  set_tests_properties(fault/${name} PROPERTIES LABELS fault TIMEOUT ${fault_TIMEOUT} SKIP_RETURN_CODE 77)
endfunction()

fault_test(kills TEST kills WORDS --kills 200 --rate 16 --minutes 3 TIMEOUT 400)
fault_test(witness TEST witness WORDS --kills 20 TIMEOUT 200)
fault_test(network TEST network TIMEOUT 300)

fault_test(kills_long TEST kills WORDS --kills 10000 --minutes 40 TIMEOUT 3000)
set_tests_properties(fault/kills_long PROPERTIES LABELS "fault;long")

# A wall clock that a test moves.
add_library(motley_clock MODULE ${CMAKE_CURRENT_SOURCE_DIR}/clock/clock.c)
set_target_properties(motley_clock PROPERTIES COMPILE_OPTIONS "-Wall;-Wextra;-O1;-g;-U_FORTIFY_SOURCE"
                      LINK_OPTIONS "" C_VISIBILITY_PRESET default)
fault_test(clock_jumps TEST clock_jumps TIMEOUT 200)
fault_test(hosts TEST hosts TIMEOUT 200)
fault_test(exhaustion TEST exhaustion TIMEOUT 300)

# Allocations that fail.
function(memory_test name)
  motley_test(fault ${name} ${ARGN})
  target_link_options(test_fault_${name} PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc)
  set_tests_properties(fault/${name} PROPERTIES TIMEOUT 300)
endfunction()
memory_test(core_memory coordinator_core common)
memory_test(agent_memory worker_agent common)
memory_test(reader_memory fleet keys coordinator_core common)

# Each of these tests can fail: planted bugs show it, in long runs. That their lists follow the code is
# always looked at.
add_test(NAME fault/planted_list
         COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/planted_run --list ${CMAKE_C_COMPILER} ${CMAKE_SOURCE_DIR}
                 ${CMAKE_CURRENT_BINARY_DIR}/planted)
set_tests_properties(fault/planted_list PROPERTIES LABELS mutants TIMEOUT 60)
add_test(NAME fault/planted
         COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/planted_run ${CMAKE_C_COMPILER} ${CMAKE_SOURCE_DIR}
                 ${CMAKE_CURRENT_BINARY_DIR}/planted)
set_tests_properties(fault/planted PROPERTIES LABELS "mutants;long" TIMEOUT 7200 PROCESSORS 2)
