# SPDX-License-Identifier: Apache-2.0
motley_fuzz(prescan proto)
motley_fuzz(messages proto)
