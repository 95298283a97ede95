# SPDX-License-Identifier: Apache-2.0
# Compiler and linker flags of every target.
add_compile_definitions(_GNU_SOURCE)
add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
                    -Wformat=2 -Wvla -fno-common -fno-omit-frame-pointer)
if (MOTLEY_WERROR)
  add_compile_options(-Werror)
endif()

if (MOTLEY_SANITIZE)
  add_compile_options(-fsanitize=${MOTLEY_SANITIZE} -fno-sanitize-recover=all -g)
  add_link_options(-fsanitize=${MOTLEY_SANITIZE})
else()
  add_compile_options(-fstack-protector-strong)
  add_link_options(-Wl,-z,relro,-z,now,-z,noexecstack)
  if (CMAKE_BUILD_TYPE MATCHES "Rel")
    add_compile_definitions(_FORTIFY_SOURCE=2)
  endif()
endif()

include(CheckPIESupported)
check_pie_supported()
