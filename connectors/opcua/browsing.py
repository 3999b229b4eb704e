"""Following references, in pieces that the server takes and no further than a bound."""

from collections.abc import Sequence
from typing import Any

from asyncua import ua as asyncua_ua
from asyncua.ua import NodeId

from connectors.opcua.calls import Pieces

ua: Any = asyncua_ua  # half of its names are not exported for type checkers

CHILDREN = (ua.ObjectIds.Organizes, ua.ObjectIds.Aggregates)
_PLACES_TAKEN = {ua.StatusCodes.BadNoContinuationPoints}


class _Harvest:
    """What came of browsing so far."""

    def __init__(self, found: list[list[Any]], types: int) -> None:
        self.found = found
        self.again: list[int] = []
        self.unfinished = 0
        self.count = 0
        self._types = types

    def take(self, chunk: list[int], results: Sequence[Any]) -> list[tuple[int, bytes]]:
        """Take the references of a call; where it goes on, per place."""
        points: list[tuple[int, bytes]] = []
        for place, result in zip(chunk, results, strict=True):
            references = result.References or ()
            self.count += len(references)
            self.found[place // self._types] += references
            status = result.StatusCode
            if status is not None and status.value in _PLACES_TAKEN:
                self.again.append(place)
            elif status is not None and not status.is_good():
                self.unfinished += 1
            elif result.ContinuationPoint:
                points.append((place, result.ContinuationPoint))
        return points


class Browser:
    """Browse and BrowseNext of one session.

    Parameters
    ----------
    session : asyncua UaSession
    pieces : Pieces
        Nodes of one call.
    """

    def __init__(self, session: Any, pieces: Pieces) -> None:
        self._session = session
        self._pieces = pieces

    async def follow(
        self,
        node_ids: Sequence[NodeId],
        types: Sequence[int] = CHILDREN,
        *,
        inverse: bool = False,
        classes: int = 0,
        references_max: int = 1_000_000,
    ) -> tuple[list[list[Any]], int]:
        """References of nodes.

        Parameters
        ----------
        node_ids : sequence of NodeId
        types : sequence of int
            Reference types of the standard namespace, with their subtypes.
        inverse : bool
        classes : int
            Mask of node classes of the targets; 0 is every class.
        references_max : int
            Bound of all references together.

        Returns
        -------
        (list of list of ReferenceDescription, int)
            Per node; and how many nodes could not be browsed to the end.

        Raises
        ------
        SourceUnavailable
            If the line is lost or the server refuses the call as a whole.
        """
        wanted = [
            _description(node, type_, inverse=inverse, classes=classes)
            for node in node_ids
            for type_ in types
        ]
        harvest = _Harvest([[] for _ in node_ids], len(types))
        places, alone = list(range(len(wanted))), False
        while places:
            start = 0
            while start < len(places):
                chunk = places[start : start + (1 if alone else self._pieces.size)]
                start += len(chunk)
                results = await self._pieces.run([wanted[place] for place in chunk], self._browse)
                while points := harvest.take(chunk, results):
                    over = harvest.count > references_max
                    results = await self._next([point for _, point in points], release=over)
                    if over:
                        harvest.unfinished += len(points)
                        break
                    chunk = [place for place, _ in points]
                if harvest.count > references_max:
                    return harvest.found, harvest.unfinished + 1
            places, harvest.again = harvest.again, []
            if alone:  # it has no continuation points at all
                harvest.unfinished += len(places)
                break
            alone = True  # one after the other they need one continuation point
        return harvest.found, harvest.unfinished

    async def _browse(self, chunk: Sequence[Any]) -> Sequence[Any]:
        parameters = ua.BrowseParameters()
        parameters.NodesToBrowse = list(chunk)
        results: Sequence[Any] = await self._session.browse(parameters)
        return results

    async def _next(self, points: list[bytes], *, release: bool) -> list[Any]:
        async def serve(chunk: Sequence[bytes]) -> Sequence[Any]:
            parameters = ua.BrowseNextParameters()
            parameters.ReleaseContinuationPoints = release
            parameters.ContinuationPoints = list(chunk)
            results: Sequence[Any] = await self._session.browse_next(parameters)
            return results if len(results) == len(chunk) else [ua.BrowseResult() for _ in chunk]

        return await self._pieces.run(points, serve) if points else []


def _description(node_id: NodeId, type_: int, *, inverse: bool, classes: int) -> Any:
    wanted = ua.BrowseDescription()
    wanted.NodeId = node_id
    way = ua.BrowseDirection
    wanted.BrowseDirection = way.Inverse if inverse else way.Forward
    wanted.ReferenceTypeId = ua.NodeId(type_)
    wanted.IncludeSubtypes = True
    wanted.NodeClassMask = classes
    wanted.ResultMask = ua.BrowseResultMask.All
    return wanted


def local(node_id: Any, namespaces: Sequence[str]) -> NodeId | None:
    """Plain node id of a reference's target; None when it lives in another server."""
    if getattr(node_id, "ServerIndex", 0):
        return None
    index, uri = node_id.NamespaceIndex, getattr(node_id, "NamespaceUri", None)
    if uri:
        if uri not in namespaces:
            return None
        index = list(namespaces).index(uri)
    return NodeId(node_id.Identifier, index, node_id.NodeIdType)
