"""A report to send: rooms over a span of time as one page of HTML that asks nothing of anybody."""
