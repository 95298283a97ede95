# SPDX-License-Identifier: Apache-2.0
motley_test(unit fleet fleet)
target_compile_definitions(test_unit_fleet PRIVATE FLEETS_DIR="${CMAKE_SOURCE_DIR}/deploy/fleets")
motley_test(unit catalog fleet)
