"""Floor 8: the gradient doctor: what is wrong with a recurrent model, its data or its training, and the mend."""

from recurra.diagnosis.diagnosis import Diagnosis, diagnose
from recurra.diagnosis.examination import Examination, examine
from recurra.diagnosis.findings import Finding
from recurra.diagnosis.patient import Patient, of_config, of_run
from recurra.diagnosis.rules import findings

__all__ = ["Diagnosis", "Examination", "Finding", "Patient", "diagnose", "examine", "findings", "of_config", "of_run"]
