# SPDX-License-Identifier: Apache-2.0
motley_test(unit tape coordinator_replay)
motley_test(unit recorder coordinator_replay)
