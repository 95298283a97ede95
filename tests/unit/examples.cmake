# SPDX-License-Identifier: Apache-2.0
motley_test(unit filetypes filetypes)
