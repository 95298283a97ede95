# SPDX-License-Identifier: Apache-2.0
motley_test(unit agent worker_agent)
foreach (name home stash)
  motley_test(unit ${name} worker_spool)
endforeach()
foreach (name cache source hello pieces worker_loop)
  motley_test(unit ${name} worker)
endforeach()
target_compile_definitions(test_unit_worker_loop PRIVATE
  EXAMPLES_DIR="${CMAKE_CURRENT_LIST_DIR}/../../examples")
