# SPDX-License-Identifier: Apache-2.0
foreach (name roster tenants classes explanation job_event capability jobs registry
         view selection proof answer outbox peers loop verification online change retention unread pace retry
         liveness crowd)
  motley_test(unit ${name} coordinator)
endforeach()
