# SPDX-License-Identifier: Apache-2.0
foreach(name digits filetypes kills)
  add_test(NAME e2e/${name}
           COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/${name} ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/bin)
  set_tests_properties(e2e/${name} PROPERTIES LABELS e2e TIMEOUT 180 SKIP_RETURN_CODE 77)
endforeach()
