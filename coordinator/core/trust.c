// SPDX-License-Identifier: Apache-2.0
#include "trust.h"

static const uint64_t BAR_US = 1000000, BAR_MAX_US = 300000000;

static void tell(struct sched *sched, const struct slot *slot)
{
    state_emit(sched, &(struct sched_action){ .type = SCHED_BAR,
                                              .worker = slot->worker,
                                              .slot = slot->index,
                                              .until_us = slot->barred_until_us });
}

static void lift(struct sched *sched, struct slot *slot)
{
    if (slot->barred_until_us == 0)
        return;
    slot->barred_until_us = 0;
    tell(sched, slot);
    state_refresh(sched, slot);
    state_ask(sched, slot);
}

void trust_failed(struct sched *sched, struct slot *slot)
{
    if (++slot->strikes < TRUST_STRIKES || slot->barred_until_us > 0)
        return;
    uint64_t us = slot->bars < 9 ? BAR_US << slot->bars : BAR_MAX_US;
    slot->bars++;
    slot->barred_until_us = sched->now_us + (us < BAR_MAX_US ? us : BAR_MAX_US);
    if (slot->barred_until_us < sched->bars_end_us)
        sched->bars_end_us = slot->barred_until_us;
    tell(sched, slot);
    state_refresh(sched, slot);
}

void trust_cleared(struct sched *sched, struct slot *slot)
{
    slot->strikes -= slot->strikes > 0;
    if (slot->strikes < TRUST_STRIKES)
        lift(sched, slot);
}

void trust_succeeded(struct sched *sched, struct slot *slot)
{
    slot->strikes = slot->bars = 0;
    lift(sched, slot);
}

void trust_time(struct sched *sched)
{
    if (sched->bars_end_us > sched->now_us)
        return;
    sched->bars_end_us = UINT64_MAX;
    for (uint32_t i = 0; i < sched->slots_count; i++) {
        struct slot *slot = sched->slots[i];
        if (slot->barred_until_us > 0 && slot->barred_until_us <= sched->now_us)
            lift(sched, slot);
        else if (slot->barred_until_us > 0 && slot->barred_until_us < sched->bars_end_us)
            sched->bars_end_us = slot->barred_until_us;
    }
}
