# Kernels: one text, built once per instruction-set tier, each build in its own namespace.
#
# sdx_add_isa(NAME [DOT] FLAGS...) adds a tier. Every cpp/kernels/*.simd.cpp is built for the plain
# tiers; a *.dot.simd.cpp is built for those and for the DOT tiers (integer dot products).
# SDX_TIERS leaves tiers out, where a build shall take less time.

file(GLOB SDX_SIMD_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/cpp/kernels/*.simd.cpp)
set(SDX_DOT_SOURCES ${SDX_SIMD_SOURCES})
list(FILTER SDX_DOT_SOURCES INCLUDE REGEX "\\.dot\\.simd\\.cpp$")
set(SDX_PLAIN_SOURCES ${SDX_SIMD_SOURCES})
list(FILTER SDX_PLAIN_SOURCES EXCLUDE REGEX "\\.dot\\.simd\\.cpp$")

set(SDX_ISA_ENUM "")
set(SDX_ISA_LIST "")
set(SDX_DOT_ISA_LIST "")
set(SDX_KERNEL_OBJECTS "")

macro(sdx_build_isa isa)
  cmake_parse_arguments(TIER "DOT" "" "" ${ARGN})
  string(APPEND SDX_ISA_ENUM " X(${isa}, __VA_ARGS__)")
  string(APPEND SDX_DOT_ISA_LIST " X(${isa}, __VA_ARGS__)")
  set(tier_sources ${SDX_DOT_SOURCES})
  if(NOT TIER_DOT)
    string(APPEND SDX_ISA_LIST " X(${isa}, __VA_ARGS__)")
    list(APPEND tier_sources ${SDX_PLAIN_SOURCES})
  endif()
  if(tier_sources)
    add_library(sdx_kernels_${isa} OBJECT ${tier_sources})
    target_include_directories(sdx_kernels_${isa} PRIVATE ${PROJECT_SOURCE_DIR}/cpp
                                                          ${PROJECT_BINARY_DIR}/generated)
    target_compile_definitions(sdx_kernels_${isa} PRIVATE SDX_ISA=${isa} SDX_ISA_${isa}=1)
    # Kernels are always optimised: their shape is their meaning. Contraction to FMA is wanted.
    target_compile_options(
      sdx_kernels_${isa} PRIVATE ${SDX_WARNINGS} -O3 -ffp-contract=fast -fno-math-errno
                                 -fno-trapping-math ${TIER_UNPARSED_ARGUMENTS})
    list(APPEND SDX_KERNEL_OBJECTS $<TARGET_OBJECTS:sdx_kernels_${isa}>)
  endif()
endmacro()

macro(sdx_add_isa isa)
  if("${isa}" STREQUAL "baseline" OR NOT SDX_TIERS OR "${isa}" IN_LIST SDX_TIERS)
    sdx_build_isa(${isa} ${ARGN})
  endif()
endmacro()

sdx_add_isa(baseline)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
  set(SDX_AVX2_FLAGS -mavx2 -mfma -mf16c -mbmi2)
  set(SDX_AVX512_FLAGS ${SDX_AVX2_FLAGS} -mavx512f -mavx512bw -mavx512vl -mavx512dq
                       -mprefer-vector-width=512)
  sdx_add_isa(avx2 ${SDX_AVX2_FLAGS})
  sdx_add_isa(avx512 ${SDX_AVX512_FLAGS})
  sdx_add_isa(avx512vnni DOT ${SDX_AVX512_FLAGS} -mavx512vnni)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64|ARM64")
  sdx_add_isa(dotprod DOT -march=armv8.2-a+dotprod)
endif()

file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/generated/isa_list.h CONTENT
"// Generated: the instruction-set tiers of this build, weakest first.
#define SDX_FOR_EACH_ISA(X, ...) ${SDX_ISA_LIST}
#define SDX_FOR_EACH_DOT_ISA(X, ...) ${SDX_DOT_ISA_LIST}
")
