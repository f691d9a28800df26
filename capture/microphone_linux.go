package capture

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>

typedef void (*alsa_handler)(const char *, int, const char *, int, const char *, ...);
static void quiet(const char *file, int line, const char *function, int err, const char *fmt, ...) {}

static void hush(void) {
	void *lib = dlopen("libasound.so.2", RTLD_NOW);
	int (*set)(alsa_handler) = lib ? dlsym(lib, "snd_lib_error_set_handler") : 0;
	if (set) set(quiet);
}
*/
import "C"

import "sync"

// hushALSA keeps libasound, where there is one, from writing to stderr: on a
// machine without sound it does so at length. miniaudio reports its errors.
var hushALSA = sync.OnceFunc(func() { C.hush() })
