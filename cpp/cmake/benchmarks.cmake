# The kernel benchmarks: one binary over every variant, from benchmarks/kernels/*.cpp.
file(GLOB SDX_BENCH_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/benchmarks/kernels/*.cpp)
add_executable(sardonyx_bench ${SDX_BENCH_SOURCES})
target_compile_options(sardonyx_bench PRIVATE ${SDX_WARNINGS})
target_link_libraries(sardonyx_bench PRIVATE sardonyx)
