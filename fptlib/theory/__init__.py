"""Every bound of the book as a function; one module per subject."""

from .brackets import guarded_brackets as guarded_brackets
from .brackets import interval_brackets as interval_brackets
from .brackets import rounding_bound as rounding_bound
from .brackets import signature as signature
from .checks import check_certified_steps as check_certified_steps
from .checks import check_power_row_sum as check_power_row_sum
from .checks import check_sign_of_error as check_sign_of_error
from .checks import check_worst_case_input as check_worst_case_input
from .convergence import best_weight as best_weight
from .convergence import binomial_tail_bound as binomial_tail_bound
from .convergence import bound_peak as bound_peak
from .convergence import contraction_constant as contraction_constant
from .convergence import feedback_norm as feedback_norm
from .convergence import largest_contracting_slope as largest_contracting_slope
from .convergence import log_power_row_sum as log_power_row_sum
from .convergence import margin_sweeps as margin_sweeps
from .convergence import power_row_sum as power_row_sum
from .convergence import steep_sigmoid_bound as steep_sigmoid_bound
from .convergence import weighted_norm_constant as weighted_norm_constant
from .convergence import worst_case_input as worst_case_input
