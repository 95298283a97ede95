# SPDX-License-Identifier: Apache-2.0
foreach(name loop)
  motley_test(unit ${name} coordinator)
endforeach()
