"""A session as ONNX Runtime's extension module has it, which some programs reach as `_sess`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sardonyx.compat.onnxruntime.binding import IOBinding
    from sardonyx.compat.onnxruntime.options import RunOptions, SessionOptions
    from sardonyx.compat.onnxruntime.session import InferenceSession, ModelMetadata, NodeArg
    from sardonyx.compat.onnxruntime.values import OrtValue


class NativeSession:
    """The same session; some of its methods take their arguments in another order."""

    def __init__(self, session: InferenceSession) -> None:
        self._session = session

    @property
    def inputs_meta(self) -> list[NodeArg]:
        return self._session.get_inputs()

    @property
    def outputs_meta(self) -> list[NodeArg]:
        return self._session.get_outputs()

    @property
    def overridable_initializers(self) -> list[NodeArg]:
        return self._session.get_overridable_initializers()

    @property
    def model_meta(self) -> ModelMetadata:
        return self._session.get_modelmeta()

    @property
    def session_options(self) -> SessionOptions:
        return self._session.get_session_options()

    @property
    def get_profiling_start_time_ns(self) -> int:
        return self._session.get_profiling_start_time_ns()

    def end_profiling(self) -> str:
        return self._session.end_profiling()

    def run(
        self,
        output_names: Sequence[str],
        input_feed: Mapping[str, Any],
        run_options: RunOptions | None = None,
    ) -> list[Any]:
        return self._session.run(output_names, input_feed, run_options)

    def run_with_ort_values(
        self,
        input_feed: Mapping[str, OrtValue],
        output_names: Sequence[str],
        run_options: RunOptions | None = None,
    ) -> list[OrtValue]:
        return self._session.run_with_ort_values(output_names, input_feed, run_options)

    def run_with_ortvaluevector(
        self,
        run_options: RunOptions | None,
        feed_names: Sequence[str],
        feeds: Sequence[OrtValue],
        fetch_names: Sequence[str],
        fetches: list[OrtValue],
        fetch_devices: Any = None,
    ) -> None:
        self._session.run_with_ortvaluevector(
            run_options, feed_names, feeds, fetch_names, fetches, fetch_devices
        )

    def run_with_iobinding(
        self, iobinding: IOBinding, run_options: RunOptions | None = None
    ) -> None:
        self._session.run_with_iobinding(iobinding, run_options)

    def get_providers(self) -> list[str]:
        return self._session.get_providers()
