"""What a source of scenes is."""

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Source(Protocol):
  """Random access to the scenes of one spec; picklable, in a fixed order.

  `source[i]` is a dict with
    image: uint8 [h, w, 3], RGB.
    label: uint8 [h, w], class indices (trainIds 0..18 unless a class table
      of one's own is asked for), 255 = void.
    id: str, unique within the source (the file's stem).
    sequence: str, the clip, city or domain that the scene belongs to.
    depth: float32 [h, w], metres, NaN = no measurement; only when the request
      asks for depth.
    content: int32 [4], where the scene lies in image and label: top, left,
      bottom, right, the last two exclusive. Only of files, when the request
      has `resize='letterbox'`.
  Arrays may be read-only.
  """

  def __len__(self) -> int: ...

  def __getitem__(self, index: int) -> dict[str, Any]: ...
