# SPDX-License-Identifier: Apache-2.0
foreach (name signature synthetic emulated)
  motley_test(unit ${name} worker_runtimes)
endforeach()
motley_test(unit executor worker_executor)
motley_test(unit isolated worker_isolation)
target_compile_definitions(test_unit_isolated PRIVATE TEST_HAS_SECCOMP=$<BOOL:${SECCOMP_FOUND}>)

motley_test(unit probe worker_probe)
add_library(fake_nvidia MODULE fake_nvidia.c)
add_dependencies(test_unit_probe fake_nvidia)
target_compile_definitions(test_unit_probe PRIVATE FAKE_NVIDIA="$<TARGET_FILE:fake_nvidia>")
