# SPDX-License-Identifier: Apache-2.0
foreach (name roster capability jobs registry view selection proof outbox peers loop)
  motley_test(unit ${name} coordinator)
endforeach()
