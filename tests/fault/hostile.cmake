# SPDX-License-Identifier: Apache-2.0
# Peers that were never admitted, or were and lie: docs/fuzzing.md.
add_test(NAME fault/hostile
         COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/hostile ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/bin)
set_tests_properties(fault/hostile PROPERTIES LABELS fault TIMEOUT 300
                     ENVIRONMENT ASAN_OPTIONS=quarantine_size_mb=16)
