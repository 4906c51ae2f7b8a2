# Finds what Sardonyx is built with. Nothing is copied here and nothing is downloaded.
#
#   Eigen    >= 3.4   MPL-2.0   dense algebra that is not hot      cmeel-eigen (PyPI) or libeigen3-dev
#   pybind11 >= 2.13  BSD-3     the Python module                  PyPI
#   doctest  >= 2.4   MIT       C++ tests only                     doctest-dev
#
# What ImageDecoder decodes with in C and C++ programs, where it is found (cpp/cmake/codecs.cmake):
#
#   libjpeg           IJG, BSD  JPEG        libjpeg-dev (libjpeg-turbo)
#   libpng   >= 1.6   libpng    PNG         libpng-dev
#   libtiff  >= 4.5   libtiff   TIFF        libtiff-dev
#   libwebp  >= 1.0   BSD-3     WebP        libwebp-dev
#   OpenJPEG >= 2.3   BSD-2     JPEG 2000   libopenjp2-7-dev

find_package(Threads REQUIRED)

# The PyPI package installs under site-packages/cmeel.prefix of the build environment.
find_package(Python3 QUIET COMPONENTS Interpreter)
if(Python3_Interpreter_FOUND)
  execute_process(
    COMMAND ${Python3_EXECUTABLE} -c "import sys; print(';'.join(p + '/cmeel.prefix' for p in sys.path if p))"
    OUTPUT_VARIABLE cmeel_prefixes OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  foreach(prefix ${cmeel_prefixes})
    if(EXISTS ${prefix})
      list(APPEND CMAKE_PREFIX_PATH ${prefix})
    endif()
  endforeach()
endif()
find_package(Eigen3 3.4 QUIET NO_MODULE)
if(NOT TARGET Eigen3::Eigen)
  find_path(SDX_EIGEN_INCLUDE Eigen/Core PATH_SUFFIXES eigen3 include/eigen3 REQUIRED)
  add_library(Eigen3::Eigen INTERFACE IMPORTED)
  target_include_directories(Eigen3::Eigen INTERFACE ${SDX_EIGEN_INCLUDE})
endif()
add_library(sdx_eigen INTERFACE)
add_library(sdx::eigen ALIAS sdx_eigen)
target_link_libraries(sdx_eigen INTERFACE Eigen3::Eigen)
target_compile_definitions(sdx_eigen INTERFACE EIGEN_MPL2_ONLY EIGEN_DONT_PARALLELIZE)
