"""Monitoring of notifiers, and the refresh that tells which conditions matter now."""

from typing import Any

from asyncua import ua as asyncua_ua
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from connectors.connector import SourceUnavailable
from connectors.opcua.address_space import AddressSpace
from connectors.opcua.calls import LOST, call, cannot
from connectors.opcua.event_rules import EventRule
from connectors.opcua.events import BASE, CONDITION, FIRST_HANDLE, Clause, Notifier

ua: Any = asyncua_ua  # half of its names are not exported for type checkers

_SERVER, _BASE_EVENT, _CONDITION_TYPE, _CONDITION_REFRESH = "i=2253", 2041, 2782, 3875
MODEL_CHANGES = EventRule(_SERVER, ("i=2132", "i=2133", "i=2738"), queue_size=10)


async def watch_events(
    url: str,
    nodes: AddressSpace,
    subscription: int,
    rules: tuple[EventRule, ...],
    *,
    model_changes: bool,
) -> tuple[dict[int, Notifier], list[tuple[str, str]]]:
    """Monitor notifiers.

    Parameters
    ----------
    url : str
        For messages.
    nodes : AddressSpace
    subscription : int
    rules : tuple of EventRule
    model_changes : bool
        Also ask the Server object whether nodes come and go.

    Returns
    -------
    (dict of int to Notifier, list of (address, reason))
        By client handle; and which the server refused.

    Raises
    ------
    SourceUnavailable
        If the line is lost.
    """
    wanted = [*rules, *((MODEL_CHANGES,) if model_changes else ())]
    found: dict[int, Notifier] = {}
    refused = []
    for place, rule in enumerate(wanted):
        handle, address = FIRST_HANDLE + place, nodes.normal(rule.node)
        clauses = (*BASE, *CONDITION, *(Clause(0, tuple(f.split("/"))) for f in rule.fields))
        reason = ""
        for _ in range(3):
            result = await _monitor(url, nodes, subscription, rule, handle=handle, clauses=clauses)
            if isinstance(result, str):
                reason = result
                break
            if result.StatusCode.is_good():
                found[handle] = Notifier(rule, address, clauses)
                reason = ""
                break
            reason = f"got {result.StatusCode.name}"
            kept = _kept(result, clauses)
            if kept == clauses:
                break
            clauses = kept
        if reason and rule is not MODEL_CHANGES:
            refused.append((address, f"cannot monitor events: {reason}, want a notifier"))
    return found, refused


async def refresh(url: str, nodes: AddressSpace, subscription: int) -> str:
    """Ask for every condition that matters now; what the server said when it refused.

    Raises
    ------
    SourceUnavailable
        If the line is lost.
    """
    request = ua.CallMethodRequest()
    request.ObjectId = ua.NodeId(_CONDITION_TYPE)
    request.MethodId = ua.NodeId(_CONDITION_REFRESH)
    request.InputArguments = [ua.Variant(subscription, ua.VariantType.UInt32)]
    try:
        (result,) = await nodes.service.call([request])
    except UaStatusCodeError as error:
        return str(error)
    except (*LOST, ValueError) as error:
        raise SourceUnavailable(cannot("refresh conditions", url, error)) from error
    return "" if result.StatusCode.is_good() else str(result.StatusCode.name)


async def _monitor(
    url: str,
    nodes: AddressSpace,
    subscription: int,
    rule: EventRule,
    *,
    handle: int,
    clauses: tuple[Clause, ...],
) -> Any:
    """Result of the creation, or why it was not tried."""
    node_id = nodes.node_id(rule.node)
    types = [nodes.node_id(each) for each in rule.types]
    if node_id is None or None in types:
        return "got a namespace that the server does not have"
    item = ua.MonitoredItemCreateRequest()
    item.ItemToMonitor.NodeId = node_id
    item.ItemToMonitor.AttributeId = ua.AttributeIds.EventNotifier
    item.MonitoringMode = ua.MonitoringMode.Reporting
    item.RequestedParameters.ClientHandle = handle
    item.RequestedParameters.SamplingInterval = 0.0
    item.RequestedParameters.QueueSize = rule.queue_size
    item.RequestedParameters.DiscardOldest = True
    item.RequestedParameters.Filter = _filter(nodes, rule, clauses, types)
    parameters = ua.CreateMonitoredItemsParameters()
    parameters.SubscriptionId = subscription
    parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
    parameters.ItemsToCreate = [item]
    try:
        (result,) = await call(
            url, nodes.service.create_monitored_items(parameters), (UaStatusCodeError,)
        )
    except UaError as error:
        return f"got {error}"
    return result


def _kept(result: Any, clauses: tuple[Clause, ...]) -> tuple[Clause, ...]:
    """Clauses that the server did not refuse; where it does not say which, those of every event."""
    answers = getattr(result.FilterResult, "SelectClauseResults", None) or ()
    if len(answers) == len(clauses):
        kept = tuple(c for c, a in zip(clauses, answers, strict=True) if a.is_good())
        if kept != clauses:
            return kept
    return BASE


def _filter(
    nodes: AddressSpace, rule: EventRule, clauses: tuple[Clause, ...], types: list[Any]
) -> Any:
    found = ua.EventFilter()
    known = nodes.namespaces
    index = known.index(rule.namespace) if rule.namespace in known else 0
    own = types[0] if types else ua.NodeId(_BASE_EVENT)
    for clause in clauses:
        operand = ua.SimpleAttributeOperand()
        operand.TypeDefinitionId = ua.NodeId(clause.declared) if clause.declared else own
        place = 0 if clause.declared else index
        operand.BrowsePath = [ua.QualifiedName(each, place) for each in clause.path]
        attributes = ua.AttributeIds
        operand.AttributeId = attributes.Value if clause.path else attributes.NodeId
        found.SelectClauses.append(operand)
    terms: list[Any] = []
    if types:
        terms.append(("or", [("type", each) for each in types]))
    if rule.severity_min:
        terms.append(("severity", rule.severity_min))
    if terms:
        _put(found.WhereClause.Elements, ("and", terms))
    return found


def _put(elements: list[Any], term: tuple[str, Any]) -> int:
    """Add a term, those within it behind it; its place. The first element is the whole."""
    kind, what = term
    if kind in {"or", "and"} and len(what) == 1:
        return _put(elements, what[0])
    element = ua.ContentFilterElement()
    place = len(elements)
    elements.append(element)
    operators = ua.FilterOperator
    if kind in {"or", "and"}:
        element.FilterOperator = operators.Or if kind == "or" else operators.And
        rest = what[1:] if len(what) == 2 else [(kind, what[1:])]
        for each in (what[0], *rest):
            element.FilterOperands.append(ua.ElementOperand(Index=_put(elements, each)))
    elif kind == "type":
        element.FilterOperator = operators.OfType
        operand = ua.LiteralOperand(Value=ua.Variant(what, ua.VariantType.NodeId))
        element.FilterOperands.append(operand)
    else:
        element.FilterOperator = operators.GreaterThanOrEqual
        severity = ua.SimpleAttributeOperand()
        severity.TypeDefinitionId = ua.NodeId(_BASE_EVENT)
        severity.BrowsePath = [ua.QualifiedName("Severity", 0)]
        severity.AttributeId = ua.AttributeIds.Value
        literal = ua.LiteralOperand(Value=ua.Variant(what, ua.VariantType.UInt16))
        element.FilterOperands += [severity, literal]
    return place
