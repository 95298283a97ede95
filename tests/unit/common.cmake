# SPDX-License-Identifier: Apache-2.0
foreach (name err heap histogram dtype sha256 file)
  motley_test(unit ${name} common)
endforeach()
