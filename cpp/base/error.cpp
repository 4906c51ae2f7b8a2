#include "base/error.h"

#include <new>
#include <stdexcept>

#include "base/interrupt.h"

namespace sdx {

void rethrow_at(std::string_view place) {
  try {
    throw;
  } catch (const Interrupted& end) {
    throw Interrupted(end.reason(), std::string(place) + ": " + end.what());
  } catch (const Error& error) {
    throw Error(error.kind(), std::string(place) + ": " + error.what());
  } catch (const std::bad_alloc&) {
    throw Error(ErrorKind::out_of_memory, std::string(place) + ": out of memory");
  } catch (const std::length_error&) {  // of a container: more than there are addresses
    throw Error(ErrorKind::out_of_memory, std::string(place) + ": out of memory");
  } catch (const std::exception& error) {
    throw Error(ErrorKind::internal, std::string(place) + ": " + error.what());
  }
}

}  // namespace sdx
