# SPDX-License-Identifier: Apache-2.0
foreach(name baseline gantt scenario planner buyer)
  motley_test(unit ${name} sim)
endforeach()
