"""What the process uses: CPU, memory, files and garbage collections. Imported when it is first asked (see
``exposition``)."""

from prometheus_client import GCCollector, ProcessCollector
from prometheus_client.core import CollectorRegistry

from spork_metrics.told import Told


class OfProcess:
    """The numbers of this process by prometheus-client's own collectors. Reads /proc: make and ask it in a thread."""

    def __init__(self) -> None:
        self._collectors = (ProcessCollector(registry=None), GCCollector(registry=CollectorRegistry()))

    def __call__(self) -> list[Told]:
        """CPU, memory, files, start and garbage collections."""
        return [
            Told(
                metric.name,
                metric.type,
                metric.documentation,
                tuple(metric.samples[0].labels) if metric.samples else (),
                "min" if metric.name == "process_start_time_seconds" else "sum",
                {tuple(sample.labels.values()): sample.value for sample in metric.samples},
            )
            for collector in self._collectors
            for metric in collector.collect()
        ]
