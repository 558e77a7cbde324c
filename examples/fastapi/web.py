"""A FastAPI application that leaves slow work to a worker: ``uvicorn web:app``."""

import asyncio
from contextlib import asynccontextmanager

import store
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from tasks import ship


@asynccontextmanager
async def lifespan(_app: FastAPI):
    # Nothing is to be opened or closed for PyQS: what sends starts with the first message.
    await asyncio.to_thread(store.prepare)
    yield


app = FastAPI(lifespan=lifespan)


class Order(BaseModel):
    item: str
    express: bool = False


@app.post("/orders", status_code=201)
async def create(order: Order):
    number = await asyncio.to_thread(store.add, order.item)
    message = await ship.adelay(number, express=order.express)
    return {"id": number, "message": message}


@app.get("/orders/{number}")
async def show(number: int):
    row = await asyncio.to_thread(store.find, number)
    if row is None:
        raise HTTPException(404, "no such order")
    return {"item": row[0], "state": row[1]}
