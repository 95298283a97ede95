# SPDX-License-Identifier: Apache-2.0
# What the disk can do to us: shim/ stands before the C library's calls and lets them fail (durability.md).
file(GLOB motley_fault_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/shim/*.c)
list(FILTER motley_fault_sources EXCLUDE REGEX "/forgetful\\.c$")
add_library(motley_fault MODULE ${motley_fault_sources})
target_include_directories(motley_fault PRIVATE ${CMAKE_SOURCE_DIR}/common)
# It is loaded before a sanitizer's library, and defines what the fortified headers would define.
set_target_properties(motley_fault PROPERTIES COMPILE_OPTIONS "-Wall;-Wextra;-O1;-g;-U_FORTIFY_SOURCE"
                      LINK_OPTIONS "")
add_executable(fault_forgetful ${CMAKE_CURRENT_SOURCE_DIR}/shim/forgetful.c)
set_target_properties(fault_forgetful PROPERTIES COMPILE_OPTIONS "-Wall;-Wextra;-g" LINK_OPTIONS "")

function(disk_test name timeout)
  add_test(NAME fault/${name}
           COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/${ARGN} ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/bin)
  set_tests_properties(fault/${name} PROPERTIES LABELS fault TIMEOUT ${timeout})
endfunction()

disk_test(shim 200 shim_check)
disk_test(disk 300 disk_faults --count 30)
disk_test(worker_disk 200 worker_disk --count 8)
disk_test(client_output 200 client_output --seeds 2)
disk_test(state_places 200 state_places)
disk_test(restart 200 restart)
disk_test(restart_10e9 200 restart --fragments 1000 --workers 10 --samples 1000000000 --memory-max 8)

disk_test(disk_long 14400 disk_faults --long)
disk_test(worker_disk_long 3600 worker_disk --long)
disk_test(restart_long 600 restart --fragments 1000000 --workers 100)
set_tests_properties(fault/disk_long fault/worker_disk_long fault/restart_long PROPERTIES LABELS "fault;long")
