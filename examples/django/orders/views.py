from django.db import transaction
from django.http import JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from .models import Order
from .tasks import confirm, reserve


@csrf_exempt
@require_POST
@transaction.atomic
def create(request):
    order = Order.objects.create(item=request.POST["item"])
    # Neither is sent before the order is in the database, and neither if it never is.
    reserve.delay_on_commit(order.pk)
    confirm.enqueue(order.pk)
    if request.POST.get("card") == "declined":
        transaction.set_rollback(True)
        return JsonResponse({"error": "your card was declined"}, status=402)
    return JsonResponse({"id": order.pk}, status=201)


def show(request, pk):
    order = get_object_or_404(Order, pk=pk)
    return JsonResponse({"item": order.item, "reserved": order.is_reserved, "confirmed": order.is_confirmed})
