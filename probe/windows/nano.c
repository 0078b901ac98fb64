// What the start of a program and Rust's backtraces import by name from kernel32, and a Nano Server's kernel32 may not
// have: its loader would end the program before it begins. Linked in their place.

#include <stddef.h>
#include <stdint.h>

typedef void *HANDLE;

__declspec(dllimport) HANDLE __stdcall CreateFileMappingW(HANDLE, void *, uint32_t, uint32_t, uint32_t, const uint16_t *);

// Of a program without windows nobody reads it.
static void __stdcall no_startup_info(void *info) { (void)info; }
void *const __imp_GetStartupInfoA = no_startup_info;

// Whoever calls it here gives no name.
HANDLE __stdcall CreateFileMappingA(HANDLE file, void *security, uint32_t protect, uint32_t high, uint32_t low, const char *name) {
    (void)name;
    return CreateFileMappingW(file, security, protect, high, low, NULL);
}

// The modules whose symbols a backtrace would show: none, a release has no symbols anyway.
HANDLE __stdcall CreateToolhelp32Snapshot(uint32_t flags, uint32_t process) {
    (void)flags;
    (void)process;
    return (HANDLE)-1;
}
int __stdcall Module32FirstW(HANDLE snapshot, void *module) {
    (void)snapshot;
    (void)module;
    return 0;
}
int __stdcall Module32NextW(HANDLE snapshot, void *module) {
    (void)snapshot;
    (void)module;
    return 0;
}
