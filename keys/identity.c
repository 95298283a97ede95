// SPDX-License-Identifier: Apache-2.0
#include "identity.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum err identity_server(const char *state_dir, const char *url, const char *server_key,
                         uint8_t server_half[KEY_BYTES], struct why *why)
{
    char path[PATH_MAX];
    struct stat status;
    const char *variable = getenv("MOTLEY_COORDINATOR_KEY");
    if (server_key && *server_key)
        return key_given(server_key, server_half, why);
    if (variable && *variable)
        return key_given(variable, server_half, why);
    enum err err = key_path(state_dir, "coordinator.public", path, sizeof path, why);
    if (err)
        return err;
    if (stat(path, &status) == 0)
        return key_given(path, server_half, why);
    return why_set(
        why, ERR_USAGE,
        "%.120s: the coordinator's public key is not known here; `motley key show` prints it on its host: "
        "give it with --coordinator-key KEY or $MOTLEY_COORDINATOR_KEY, or join with the line that "
        "`motley key invite` prints there",
        url);
}

enum err identity_find(const char *state_dir, const char *url, const char *server_key,
                       struct identity *identity, struct why *why)
{
    char path[PATH_MAX];
    memset(identity, 0, sizeof *identity);
    if (strncmp(url, "tcp://", 6) != 0)
        return ERR_OK;
    enum err err = identity_server(state_dir, url, server_key, identity->server_half, why);
    if (!err)
        err = key_path(state_dir, "own.secret", path, sizeof path, why);
    if (!err)
        err = key_ensure(path, &identity->own, why);
    identity->keyed = !err;
    return err;
}

void identity_wipe(struct identity *identity)
{
    key_wipe(&identity->own);
    memset(identity, 0, sizeof *identity);
}
