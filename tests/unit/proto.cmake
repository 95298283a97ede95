# SPDX-License-Identifier: Apache-2.0
motley_test(unit arena proto)
motley_test(unit prescan proto)
motley_test(unit messages proto)
motley_test(unit dialogue proto)
motley_test(unit endpoint proto)
motley_test(unit wire proto)
motley_test(unit protocol_md proto)
target_compile_definitions(test_unit_protocol_md PRIVATE PROTOCOL_MD="${CMAKE_SOURCE_DIR}/proto/protocol.md")

# Allocations of our own objects fail one after the other.
motley_test(unit messages_memory proto)
target_link_options(test_unit_messages_memory PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc)
