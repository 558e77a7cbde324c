"""Found by ``manage.py pyqs``, as ``tasks`` of every installed app."""

import pyqs

from .models import Order

try:
    from django.tasks import task
except ImportError:  # before Django 6: pip install django-tasks
    from django_tasks import task


@pyqs.task(queue="shop-orders", retries=3, time_limit=60)
def reserve(pk):
    """A task of PyQS: with retries, limits and all that @task takes."""
    Order.objects.filter(pk=pk).update(is_reserved=True)


@task(queue_name="mail")
async def confirm(pk):
    """A task of Django's own framework: the backend in TASKS sends it to SQS."""
    order = await Order.objects.aget(pk=pk)
    print(f"thank you for ordering {order.item}")
    await Order.objects.filter(pk=pk).aupdate(is_confirmed=True)
