# The rooms above the ground share most of their headers: compiled once, they halve what a small file
# costs. What a file needs it still includes itself; a build with
# CMAKE_DISABLE_PRECOMPILE_HEADERS=ON shows where it does not.
function(sdx_precompile target)
  target_precompile_headers(
    ${target} PRIVATE <algorithm> <array> <cmath> <functional> <limits> <sstream> <string> <vector>
                      ${PROJECT_SOURCE_DIR}/cpp/ir/graph.h)
  get_target_property(sources ${target} SOURCES)
  list(FILTER sources INCLUDE REGEX "cpp/(base|codecs|kernels|runtime)/")
  set_source_files_properties(${sources} PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
endfunction()
