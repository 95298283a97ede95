// SPDX-License-Identifier: Apache-2.0
/* The worker's agent when an allocation fails, each of a story's in turn: it goes on without what it had no
 * room for, or stops with the reason. */
#include "agent.h"
#include "ensure.h"
#include "starve.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { SLOTS = 3, JOBS = 20, LEASES = 150, ACTIONS_MAX = 4096 };

static struct agent *agent;
static uint64_t now_us;
static struct agent_action todo[ACTIONS_MAX];
static size_t todo_first, todo_count;

static void step(struct agent_event event)
{
    struct agent_actions out;
    errno = 0;
    agent_step(agent, ++now_us, &event, &out);
    errno = 0;
    agent_check(agent);
    for (size_t i = 0; i < out.count; i++) {
        ENSURE(todo_count < ACTIONS_MAX);
        todo[(todo_first + todo_count++) % ACTIONS_MAX] = out.at[i];
    }
}

static void say_of(const struct agent_action *about, enum agent_event_type type)
{
    step((struct agent_event){ .type = type,
                               .slot = about->slot,
                               .model = about->model,
                               .job = about->job,
                               .term = about->term,
                               .attempt = about->attempt,
                               .ok = true });
}

/* An executor, a cache and a coordinator that are done at once. */
static void carry_out(const struct agent_action *action)
{
    switch (action->type) {
    case AGENT_GET_MODEL: say_of(action, AGENT_MODEL_READY); break;
    case AGENT_LOAD_MODEL: say_of(action, AGENT_MODEL_LOADED); break;
    case AGENT_GET_INPUT: say_of(action, AGENT_INPUT_READY); break;
    case AGENT_RUN:
        say_of(action, AGENT_STARTED);
        say_of(action, AGENT_RAN);
        break;
    case AGENT_UNQUEUE: say_of(action, AGENT_RECALLED); break;
    case AGENT_SEND_RESULT:
    case AGENT_SEND_INPUT_FAILED: say_of(action, AGENT_ACK); break;
    default: break;
    }
}

static void settle(void)
{
    while (todo_count > 0) {
        struct agent_action action = todo[todo_first];
        todo_first = (todo_first + 1) % ACTIONS_MAX;
        todo_count--;
        carry_out(&action);
    }
    for (int i = 0; i < 64 && agent_deadline_us(agent) <= now_us; i++)
        step((struct agent_event){ .type = AGENT_TICK });
}

static void lease_all(void)
{
    for (uint32_t i = 0; i < LEASES; i++) {
        struct agent_event event = { .type = AGENT_LEASE };
        event.lease = (struct agent_lease){
            .slot = i % SLOTS, .job = 1 + i % JOBS, .first = i, .count = 1, .term = 1, .attempt = 1 + i
        };
        step(event);
    }
}

static void tell(void)
{
    struct agent_config config = { .slots_count = SLOTS, .heartbeat_us = 1000, .credit_bytes = 1000 };
    todo_first = todo_count = 0;
    now_us = 1;
    agent = agent_new(&config);
    if (agent == NULL)
        return;
    step((struct agent_event){ .type = AGENT_CONNECTED, .term = 1 });
    for (uint64_t job = 1; job <= JOBS; job++)
        step((struct agent_event){ .type = AGENT_JOB, .job = job, .model = job % 4, .row_bytes = 10 });
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        step((struct agent_event){ .type = AGENT_LOAD, .slot = slot, .job = 1 });
    lease_all();
    step((struct agent_event){ .type = AGENT_RECALL, .term = 1, .attempt = LEASES });
    step((struct agent_event){ .type = AGENT_DISCONNECTED });
    step((struct agent_event){ .type = AGENT_CONNECTED, .term = 2 });
    settle();
    step((struct agent_event){ .type = AGENT_FORGET, .job = 3 });
    settle();
    agent_free(&agent);
}

static void test_agent(void **state)
{
    (void)state;
    assert_true(starve_all("agent", tell, getenv("MOTLEY_LONG") ? 1 : 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_agent) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
