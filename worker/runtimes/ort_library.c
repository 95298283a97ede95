// SPDX-License-Identifier: Apache-2.0
#include "err.h" /* so that this file is not empty without MOTLEY_ORT */

#ifdef MOTLEY_ORT
#include "ort_library.h"

#include "file.h"

#include <ctype.h>
#include <dlfcn.h>
#include <glob.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { API_LOWEST = 17 };

typedef const OrtApiBase *(*get_base_function)(void);

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct ort library;
static bool opened;

/* Our own sentence has the path already, so "Load model from PATH failed:" is left out. */
static void one_line(const char *text, char *line, size_t size)
{
    size_t length = 0;
    const char *after_path = strncmp(text, "Load model from ", 16) == 0 ? strstr(text, " failed:") : NULL;
    text = after_path != NULL ? after_path + 8 : text;
    for (; *text != '\0' && length + 1 < size; text++)
        line[length++] = iscntrl((unsigned char)*text) ? ' ' : *text;
    while (length > 0 && line[length - 1] == ' ')
        length--;
    line[length] = '\0';
}

enum err ort_check(const struct ort *ort, OrtStatus *status, enum err otherwise, const char *what,
                   struct why *why)
{
    if (status == NULL)
        return ERR_OK;
    char words[WHY_MAX];
    one_line(ort->api->GetErrorMessage(status), words, sizeof words);
    ort->api->ReleaseStatus(status);
    bool memory = strstr(words, "bad_alloc") != NULL || strstr(words, "Failed to allocate") != NULL;
    return why_set(why, memory ? ERR_MEMORY : otherwise, "%s: %s", what,
                   words[0] != '\0' ? words : "failed without a word");
}

/* The API's version is the release's second number. Asking for a later one makes the library complain on
 * stderr. */
static const OrtApi *newest_api(const OrtApiBase *base)
{
    unsigned minor = 0;
    if (sscanf(base->GetVersionString(), "%*u.%u", &minor) != 1 || minor > ORT_API_VERSION)
        minor = ORT_API_VERSION;
    for (; minor >= API_LOWEST; minor--) {
        const OrtApi *api = base->GetApi(minor);
        if (api != NULL)
            return api;
    }
    return NULL;
}

static enum err start(const OrtApiBase *base, struct ort *ort, struct why *why)
{
    snprintf(ort->version, sizeof ort->version, "%s", base->GetVersionString());
    ort->api = newest_api(base);
    if (ort->api == NULL)
        return why_set(why, ERR_UNSUPPORTED, "ONNX Runtime %s is too old: 1.%d or later is needed",
                       ort->version, API_LOWEST);
    /* What goes wrong comes back as a status; the library's own log would say it again, on stderr. */
    OrtStatus *status = ort->api->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "motley", &ort->env);
    if (status == NULL)
        status = ort->api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &ort->memory);
    if (status == NULL)
        status = ort->api->GetAllocatorWithDefaultOptions(&ort->allocator);
    return ort_check(ort, status, ERR_UNSUPPORTED, "ONNX Runtime does not start", why);
}

static enum err open_file(const char *path, struct ort *ort, struct why *why)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        return why_set(why, ERR_UNSUPPORTED, "%s", dlerror());
    get_base_function get_base;
    *(void **)&get_base = dlsym(handle, "OrtGetApiBase"); /* POSIX's way from void * to a function */
    if (get_base == NULL) {
        dlclose(handle);
        return why_set(why, ERR_UNSUPPORTED, "%s: is not ONNX Runtime's library", path);
    }
    return start(get_base(), ort, why);
}

static enum err open_pattern(const char *pattern, struct ort *ort, struct why *why)
{
    glob_t found;
    enum err err = ERR_NOT_FOUND;
    if (glob(pattern, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc && err != ERR_OK; i++)
            err = open_file(found.gl_pathv[i], ort, why);
        globfree(&found);
    }
    return err == ERR_NOT_FOUND ? why_set(why, err, "%s: no such file", pattern) : err;
}

static enum err open_beside_program(struct ort *ort, struct why *why)
{
    static const char *const PLACES[] = { "../lib/motley", "../../deps/lib" };
    char folder[PATH_MAX], pattern[PATH_MAX + 64];
    struct why refusal = { "" };
    enum err err = file_program_dir(folder, sizeof folder, why);
    if (err != ERR_OK)
        return err;
    for (size_t i = 0; i < sizeof PLACES / sizeof PLACES[0]; i++) {
        snprintf(pattern, sizeof pattern, "%s/%s/libonnxruntime.so*", folder, PLACES[i]);
        err = open_pattern(pattern, ort, &refusal);
        if (err != ERR_NOT_FOUND)
            break;
    }
    if (err == ERR_OK)
        return ERR_OK;
    return why_set(why, err, "%s/../lib/motley and ../../deps/lib: %s", folder,
                   err == ERR_NOT_FOUND ? "no libonnxruntime.so" : refusal.text);
}

static enum err open_anywhere(struct ort *ort, struct why *why)
{
    const char *named = getenv("MOTLEY_ORT_LIBRARY");
    struct why refusal = { "" }, beside = { "" };
    if (named != NULL && named[0] != '\0') {
        if (open_file(named, ort, &refusal) == ERR_OK)
            return ERR_OK;
        return why_set(why, ERR_UNSUPPORTED, "ONNX Runtime, as $MOTLEY_ORT_LIBRARY names it: %s",
                       refusal.text);
    }
    if (open_beside_program(ort, &beside) == ERR_OK ||
        open_file("libonnxruntime.so.1", ort, &refusal) == ERR_OK)
        return ERR_OK;
    return why_set(
        why, ERR_UNSUPPORTED,
        "ONNX Runtime's library was not found: %s; the system's: %s; name it with MOTLEY_ORT_LIBRARY=FILE",
        beside.text, refusal.text);
}

enum err ort_library(const struct ort **ort, struct why *why)
{
    enum err err = ERR_OK;
    pthread_mutex_lock(&mutex);
    if (!opened) {
        /* From 1.29 on the library sends telemetry, unless this is set before it is opened. */
        setenv("ORT_DISABLE_TELEMETRY", "1", 1);
        err = open_anywhere(&library, why);
        opened = err == ERR_OK;
    }
    pthread_mutex_unlock(&mutex);
    *ort = &library;
    return err;
}
#endif
