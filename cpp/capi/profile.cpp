// What the steps of a run took.
#include "capi/handles.h"

using namespace sdx;
using namespace sdx::capi;

sdx_status sdx_session_profile(sdx_session* session, const char* const* input_names,
                               const sdx_value* const* inputs, size_t input_count,
                               sdx_profile** out) noexcept {
  return guarded([&] {
    check_given(session, "session");
    check_given(out, "out");
    const std::vector<Feed> feeds = feeds_from(*session, input_names, inputs, input_count);
    hand_out(out, session->session.profile(feeds));
  });
}
void sdx_profile_free(sdx_profile* profile) noexcept { delete profile; }

size_t sdx_profile_count(const sdx_profile* profile) noexcept {
  return profile ? profile->steps.size() : 0;
}

sdx_status sdx_profile_step(const sdx_profile* profile, size_t index, sdx_step* step,
                            size_t size) noexcept {
  return guarded([&] {
    check_given(step, "step");
    check_argument(index < sdx_profile_count(profile), "there is no step ", index, " of ",
                   sdx_profile_count(profile));
    const StepProfile& taken = profile->steps[index];
    fill(step, size,
         sdx_step{.node = taken.node.c_str(),
                  .op = taken.op.c_str(),
                  .shapes = taken.shapes.c_str(),
                  .begin = taken.begin,
                  .seconds = taken.seconds,
                  .flops = taken.flops,
                  .value_bytes = taken.value_bytes,
                  .constant_bytes = taken.constant_bytes});
  });
}
