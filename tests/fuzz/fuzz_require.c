// SPDX-License-Identifier: Apache-2.0
#include "fuzz.h"
#include "require.h"

#include <string.h>

static struct attributes *slots(int which)
{
    static const char *const precisions[] = { "fp16", "int8" };
    static const uint32_t sizes[] = { 1, 8 };
    struct attributes_builder builder;
    attributes_begin(&builder);
    if (which > 0) {
        attributes_add_text(&builder, "device.kind", which == 1 ? "gpu" : "cpu");
        attributes_add_number(&builder, "device.memory", which == 1 ? 17179869184.0 : 5.0);
        attributes_add_set(&builder, "precision", precisions, (uint32_t)which);
        attributes_add_whole_set(&builder, "batch.sizes", sizes, 2);
        attributes_add_version(&builder, "worker.version", "1.2.3-rc1");
        attributes_add_label(&builder, "room", which == 1 ? "b12" : "12");
    }
    return attributes_finish(&builder);
}

static void check_slot(const struct require *require, const struct require *again, int which)
{
    static struct require_findings findings;
    char text[64];
    struct attributes *attributes = slots(which);
    FUZZ_CHECK(attributes);
    bool holds = require_eval(require, attributes), all = true;
    FUZZ_CHECK(require_eval(again, attributes) == holds);
    FUZZ_CHECK((require_distance(require, attributes) == 0) == holds);
    FUZZ_CHECK(!holds || !require_contradiction(require, NULL));
    require_explain(require, attributes, &findings);
    for (uint32_t i = 0; i < findings.count; i++) {
        all = all && findings.at[i].holds;
        require_finding_print(&findings.at[i], text, sizeof text);
    }
    FUZZ_CHECK(all == holds);
    attributes_free(&attributes);
}

/* What is parsed has a canonical text that is parsed to the same text and means the same; what is not, says
 * why and where. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct require *require, *again;
    struct why why = { "" };
    size_t at = SIZE_MAX;
    if (require_parse((const char *)data, size, &require, &at, &why)) {
        FUZZ_CHECK(!require && why.text[0] && at <= size);
        return 0;
    }
    const char *text = require_text(require);
    FUZZ_CHECK(strlen(text) < REQUIRE_CANONICAL_MAX);
    FUZZ_CHECK(require_restore(text, strlen(text), &again, NULL) == ERR_OK);
    FUZZ_CHECK(strcmp(text, require_text(again)) == 0);
    FUZZ_CHECK(require_hash(require) == require_hash(again));
    for (int which = 0; which < 3; which++)
        check_slot(require, again, which);
    require_free(&require);
    require_free(&again);
    return 0;
}
