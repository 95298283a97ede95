# SPDX-License-Identifier: Apache-2.0
foreach (name journal lock spool store store_crash publish blobs clerk compare)
  motley_test(unit ${name} coordinator_store)
endforeach()
