// What the Python module calls in the shared library.
#pragma once

// Of a function's declaration: its symbol is the C name sdx_internal_NAME, and visible. Nothing
// else of C++ is, so that two runtimes can live in one process; the module has its own copy of what
// in base/ keeps no state. Whatever else it calls is an undefined reference until it is marked.
#define SDX_SHARED(name) __asm__("sdx_internal_" #name) __attribute__((visibility("default")))
