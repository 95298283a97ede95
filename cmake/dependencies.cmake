# SPDX-License-Identifier: Apache-2.0
# What Motley links with. docs/dependencies.md says what each is for and what happens without it.
#
# deploy/dependencies unpacks what the distribution lacks into a private prefix, build/deps, which is looked
# at first.
set(MOTLEY_DEPS_DIR ${CMAKE_SOURCE_DIR}/build/deps CACHE PATH
  "Private prefix with yyjson and ONNX Runtime's header and library")
list(PREPEND CMAKE_PREFIX_PATH ${MOTLEY_DEPS_DIR})

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

pkg_check_modules(ZMQ REQUIRED IMPORTED_TARGET libzmq>=4.3.4)
pkg_search_module(MSGPACK REQUIRED IMPORTED_TARGET msgpack-c>=4.0 msgpack>=3.3)   # renamed in its release 6
# Debian 13's package file names a folder "include", relative to nothing.
get_target_property(msgpack_folders PkgConfig::MSGPACK INTERFACE_INCLUDE_DIRECTORIES)
list(FILTER msgpack_folders INCLUDE REGEX "^/")
set_target_properties(PkgConfig::MSGPACK PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${msgpack_folders}")
pkg_check_modules(UUID REQUIRED IMPORTED_TARGET uuid)
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3>=3.35)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(HWLOC REQUIRED IMPORTED_TARGET hwloc)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(SECCOMP IMPORTED_TARGET libseccomp)   # without it: slot processes are not filtered
pkg_check_modules(CMOCKA IMPORTED_TARGET cmocka)

# yyjson's package files name /usr, so it is found by its files and not by pkg-config.
find_path(YYJSON_INCLUDE_DIR yyjson.h HINTS ${MOTLEY_DEPS_DIR}/include REQUIRED)
find_library(YYJSON_LIBRARY NAMES yyjson HINTS ${MOTLEY_DEPS_DIR}/lib REQUIRED)
add_library(yyjson UNKNOWN IMPORTED)
set_target_properties(yyjson PROPERTIES
  IMPORTED_LOCATION ${YYJSON_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${YYJSON_INCLUDE_DIR})

if (MOTLEY_ORT)
  find_path(ORT_INCLUDE_DIR onnxruntime_c_api.h HINTS ${MOTLEY_DEPS_DIR}/include
            PATH_SUFFIXES onnxruntime onnxruntime/core/session REQUIRED)
endif()

# Libraries of the private prefix travel with the installed programs, which look for them beside themselves.
# In the build tree CMake's own run path already names the prefix.
set(CMAKE_INSTALL_RPATH "$ORIGIN/../lib/motley" "$ORIGIN/motley")
file(GLOB MOTLEY_PRIVATE_LIBRARIES ${MOTLEY_DEPS_DIR}/lib/libyyjson.so.0*
     ${MOTLEY_DEPS_DIR}/lib/libonnxruntime.so.* ${MOTLEY_DEPS_DIR}/lib/*.LICENSE)
install(FILES ${MOTLEY_PRIVATE_LIBRARIES} DESTINATION lib/motley)
