# SPDX-License-Identifier: Apache-2.0
motley_test(unit fleet fleet)
