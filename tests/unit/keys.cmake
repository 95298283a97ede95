# SPDX-License-Identifier: Apache-2.0
foreach (name key keyring identity)
  motley_test(unit ${name} keys)
endforeach()
foreach (name gate permit)
  motley_test(unit ${name} coordinator_auth)
endforeach()
foreach (name access roots trail)
  motley_test(unit ${name} coordinator)
endforeach()

foreach (name gate access)
  set_property(TEST unit/${name} APPEND PROPERTY LABELS threads)
  set_property(TEST unit/${name} APPEND PROPERTY ENVIRONMENT
               TSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/tsan.supp:halt_on_error=1)
endforeach()
