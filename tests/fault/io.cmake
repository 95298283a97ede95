# SPDX-License-Identifier: Apache-2.0
# What the disk can do to us: shim/ stands before the C library's calls and lets them fail.
file(GLOB motley_fault_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/shim/*.c)
list(FILTER motley_fault_sources EXCLUDE REGEX "/forgetful\\.c$")
add_library(motley_fault MODULE ${motley_fault_sources})
target_include_directories(motley_fault PRIVATE ${CMAKE_SOURCE_DIR}/common)
# It is loaded before a sanitizer's library, and defines what the fortified headers would define.
set_target_properties(motley_fault PROPERTIES COMPILE_OPTIONS "-Wall;-Wextra;-O1;-g;-U_FORTIFY_SOURCE"
                      LINK_OPTIONS "")
add_executable(fault_forgetful ${CMAKE_CURRENT_SOURCE_DIR}/shim/forgetful.c)
set_target_properties(fault_forgetful PROPERTIES COMPILE_OPTIONS "-Wall;-Wextra;-g" LINK_OPTIONS "")

add_test(NAME fault/shim COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/shim_check ${CMAKE_SOURCE_DIR}
         ${CMAKE_BINARY_DIR}/bin)
set_tests_properties(fault/shim PROPERTIES LABELS fault TIMEOUT 300)
