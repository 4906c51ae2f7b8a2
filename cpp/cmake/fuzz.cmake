# The fuzzers (clang): each tests/fuzz/<name>.cpp becomes fuzz_<name>. A corpus to start from are the
# models of the ONNX backend suite:  build/fuzz/fuzz_load_and_run CORPUS_FOLDER
file(GLOB SDX_FUZZERS CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/fuzz/*.cpp)
foreach(source ${SDX_FUZZERS})
  get_filename_component(name ${source} NAME_WE)
  add_executable(fuzz_${name} ${source})
  target_link_libraries(fuzz_${name} PRIVATE sardonyx)
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer,address,undefined)
endforeach()
