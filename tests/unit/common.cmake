# SPDX-License-Identifier: Apache-2.0
foreach (name err heap histogram dtype element npy sha256 file options precision)
  motley_test(unit ${name} common)
endforeach()
