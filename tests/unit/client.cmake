# SPDX-License-Identifier: Apache-2.0
foreach(name input names output model_json address variants)
  motley_test(unit ${name} client_lib)
endforeach()
foreach(name render roll roster_check job_options moment promise reasons mime)
  motley_test(unit ${name} client_command)
endforeach()
motley_test(unit infer client_lib coordinator)
