# SPDX-License-Identifier: Apache-2.0
foreach(name invite joined)
  motley_test(unit ${name} client_lib)
endforeach()
foreach(name hop reach key_view)
  motley_test(unit ${name} client_command)
endforeach()
