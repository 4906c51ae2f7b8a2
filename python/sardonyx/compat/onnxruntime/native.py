"""A session as ONNX Runtime's extension module has it, which some programs reach as `_sess`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sardonyx.compat.onnxruntime.binding import IOBinding
    from sardonyx.compat.onnxruntime.options import RunOptions
    from sardonyx.compat.onnxruntime.session import InferenceSession, NodeArg
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

    def run_with_iobinding(
        self, iobinding: IOBinding, run_options: RunOptions | None = None
    ) -> None:
        self._session.run_with_iobinding(iobinding, run_options)

    def get_providers(self) -> list[str]:
        return self._session.get_providers()
